#!lua flags=allow-oom
--[[
Cancels a job: at once if no run holds it, else by asking the run to stop. It is told over a channel, and sees the status when it next renews
its lease.

KEYS[1] the job's record

Returns 'cancelled', 'cancelling', 'already' (cancelled), 'wrong_status' (otherwise ended), 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if status == 'cancelled' then return 'already' end
if ended[status] then return 'wrong_status' end
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
