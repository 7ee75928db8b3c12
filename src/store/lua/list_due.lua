#!lua flags=allow-oom
--[[
Makes the list of due jobs anew from the list of open jobs, some at each call. Then every job is
due.

KEYS[1] the list of due jobs
ARGV[1] '0', or what the call before returned
ARGV[2] about how many jobs to list

Returns where the next call goes on; '0' after the last.
]]
if ARGV[1] == '0' then redis.call('DEL', KEYS[1]) end
local next_, open = unpack(redis.call('HSCAN', root .. ':open', ARGV[1], 'COUNT', ARGV[2]))
for i = 1, #open, 2 do
  redis.call('ZADD', KEYS[1], now, root .. ':owner:' .. open[i + 1] .. ':job:' .. open[i])
end
return next_
