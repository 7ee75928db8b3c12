#!lua flags=allow-oom
--[[
Pauses a job: at once if no run holds it, else by asking the run to stop, as cancel.lua does.

KEYS[1] the job's record

Returns 'paused', 'pausing', 'wrong_status', 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if is_set() and (status == 'queued' or status == 'running' or status == 'pausing') then
  return stop_set('pausing', 'The runs were asked to stop.')
end
if status == 'queued' then
  pause('Paused.')
  return 'paused'
end
if status ~= 'running' and status ~= 'pausing' then return 'wrong_status' end
if status == 'running' then
  append(event('pausing', 'The run was asked to stop.'))
  set_status('pausing')
end
settle('; the run was already gone')
if get('status') == 'paused' then return 'paused' end
redis.call('PUBLISH', root .. ':control', id .. ' pausing')
return 'pausing'
