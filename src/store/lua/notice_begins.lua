#!lua flags=allow-oom
--[[
Records that the turn of a job's notice has come (notice_turn.lua).

KEYS[1] the job's record
ARGV[1] the turn

Returns 1 if the notice is still wanted: the job and its webhook are still there.
]]
local on_key = root .. ':webhook_turn'
if tonumber(ARGV[1]) > tonumber(redis.call('GET', on_key) or 0) then
  redis.call('SET', on_key, ARGV[1])
end
return redis.call('HEXISTS', job, 'webhook')
