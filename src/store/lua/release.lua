#!lua flags=allow-oom
--[[
Gives back a job that has not ended, so that another run continues it from its last checkpoint. If
the job was to be cancelled or paused, it is.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the event for a job that will run again, as JSON
ARGV[4] events before it, as a JSON array of JSON texts
ARGV[5] 1 if it must wait for what it lacks. Then its owner's other jobs go first, whatever their
        priority: what this job lacks they may have
ARGV[6] 1 if it is no small job, whatever was estimated

Returns the job's status. Error FENCED if the lease is someone else's.
]]
-- How long a job waits for what it lacks, in milliseconds. The reconciler ends its wait.
local POSTPONED_MS = 5000

fence(ARGV[1], ARGV[2])
if ARGV[6] == '1' then unset('work_ms') end
for _, text in ipairs(cjson.decode(ARGV[4])) do append(text) end
unset('lease_expires_at', 'token', 'crashes', 'crash_step', 'crash_run')
delete_uploads()
settle('')
if get('status') == 'running' then
  append(ARGV[3])
  set_status('queued')
  if ARGV[5] == '1' then
    set('yields', 1)
    look_at(now + POSTPONED_MS)
  else
    redis.call('ZADD', BEGUN, now, job)
  end
end
return get('status')
