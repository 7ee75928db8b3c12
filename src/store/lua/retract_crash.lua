#!lua flags=allow-oom
--[[
Takes back a crash that shared/begin.lua counted: the run has come back, and Redis had been away.

KEYS[1] the job's record
ARGV[1] the run, which no longer holds the job
ARGV[2] its token, which is no longer valid
]]
if get('crash_run') == ARGV[1] then
  increase('crashes', -1)
  unset('crash_run')
end
