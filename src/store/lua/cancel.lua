#!lua flags=allow-oom
--[[
Cancels a job: at once if no run holds it, else by asking the run to stop. A channel tells the run.
A run that misses the message sees the status when it next renews its lease.

KEYS[1] the job's record

Returns 'cancelled', 'cancelling', 'already' if it was cancelled before, 'wrong_status' if it has
  ended otherwise, 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if status == 'cancelled' then return 'already' end
if ended[status] then return 'wrong_status' end
if is_set() then return stop_set('cancelling', 'The runs were asked to stop.') end
if lease_left_ms() == 0 then
  append(event('cancelled', 'Cancelled.'))
  end_job('cancelled')
  return 'cancelled'
end
if status ~= 'cancelling' then
  append(event('cancelling', 'The run was asked to stop.'))
  set_status('cancelling')
end
redis.call('PUBLISH', root .. ':control', id .. ' cancelling')
return 'cancelling'
