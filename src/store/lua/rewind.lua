#!lua flags=allow-oom
--[[
Rewinds a job to a step, because its run has seen it diverge. Drops the checkpoints and metrics
after that step. From here on the job resumes with the changes from the last checkpoint at or before
the step, or else from its beginning. Doing it again changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the step
ARGV[4] all the changes so far, as JSON
ARGV[5] the event, as JSON

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
if get('changes') == ARGV[4] then return end
for _, step in ipairs(redis.call('ZRANGEBYSCORE', job .. ':checkpoints', '(' .. ARGV[3], '+inf')) do
  drop_checkpoint(step)
end
drop_rows(ARGV[3])
local origin = get('origin') and cjson.decode(get('origin'))
if origin and origin.use == 'state' and origin.step > tonumber(ARGV[3]) then drop_origin() end
resume_from_newest()
set('changes', ARGV[4], 'updated_at', now)
renew_events()
append(ARGV[5])
