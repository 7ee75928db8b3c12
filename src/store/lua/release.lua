#!lua flags=allow-oom
--[[
Gives a job back before it ended, to be run again from its last checkpoint. If it was asked to stop, it stops.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the event if it is to be run again, as JSON
ARGV[4] events before it, as a JSON array of JSON texts
ARGV[5] 1 if its owner's other jobs go first, whatever its priority: what it lacks they may not lack

Returns the job's status. Error FENCED if the lease is someone else's.
]]
-- Beyond the score of any priority (shared.lua).
local BEHIND_ALL = 1

fence(ARGV[1], ARGV[2])
for _, text in ipairs(cjson.decode(ARGV[4])) do append(text) end
redis.call('HDEL', job, 'lease_expires_at', 'token', 'crashes', 'crash_step', 'crash_run')
delete_uploads()
settle('')
if get('status') == 'running' then
  append(ARGV[3])
  set_status('queued')
  if ARGV[5] == '1' then redis.call('ZADD', owned .. ':waiting', BEHIND_ALL, id) end
end
return get('status')
