#!lua flags=allow-oom
--[[
Extends leases and claims of one worker. The status of a job says what is wanted of its run.

KEYS[1] the list of due jobs
ARGV[1] for how long, in milliseconds
ARGV[2] JSON: the claims, [token, …]
ARGV[3…] for each lease: the job's record, run, token, and what would be blamed if the run died
        from now on (shared/begin.lua): own, shared, none

Returns for each lease the job's status, or '' if the lease is someone else's
]]
for _, claim in ipairs(cjson.decode(ARGV[2])) do
  redis.call('SET', root .. ':claim:' .. claim, '', 'PX', ARGV[1])
end
local statuses = {}
for i = 3, #ARGV, 4 do
  local record, run, token, blame = unpack(ARGV, i, i + 3)
  enter(record)
  if holds(run, token) and not ended[get('status')] then
    set('lease_expires_at', now + ARGV[1], 'blame', blame)
    table.insert(statuses, get('status'))
  else
    table.insert(statuses, '')
  end
end
return statuses
