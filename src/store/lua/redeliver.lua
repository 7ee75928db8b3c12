#!lua flags=allow-oom
--[[
Counts a further delivery of a job that no run holds and whose delivery was lost.

KEYS[1] the job's record
ARGV[1] the delivery that was lost

Returns the new delivery, or nil if it is no longer needed.
]]
local status = get('status')
if status ~= 'queued' and status ~= 'running' then return nil end
if lease_left_ms() > 0 or get('delivery') ~= ARGV[1] then return nil end
return redis.call('HINCRBY', job, 'delivery', 1)
