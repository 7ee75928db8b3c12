#!lua flags=allow-oom
--[[
Takes the reconcilers' turn, if it is free. In a full store too: old jobs must be deleted there.

KEYS[1] the turn
ARGV[1] for how many milliseconds the others are kept out

Returns 1 if the turn is the caller's, else 0.
]]
return redis.call('SET', KEYS[1], '', 'PX', ARGV[1], 'NX') and 1 or 0
