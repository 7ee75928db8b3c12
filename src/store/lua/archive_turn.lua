#!lua flags=allow-oom
--[[
Takes the archivists' turn, or keeps it. One process at a time moves jobs into the archive.

KEYS[1] the turn
ARGV[1] the caller's token
ARGV[2] for how many milliseconds the others are kept out

Returns 1 if the turn is the caller's, else 0.
]]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
