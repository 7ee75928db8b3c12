#!lua flags=allow-oom
--[[
Takes back that a run died (acquire.lua): it has come back, and Redis had been away.

KEYS[1] the job's record
ARGV[1] run, which no longer holds the job
ARGV[2] its token, which is no longer valid
]]
if get('crash_run') == ARGV[1] then
  redis.call('HINCRBY', job, 'crashes', -1)
  redis.call('HDEL', job, 'crash_run')
end
