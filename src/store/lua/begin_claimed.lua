#!lua flags=allow-oom
--[[
Begins a job that was claimed, or one that nobody holds.

KEYS[1] the job's record
ARGV[1] the token of the claim
ARGV[2] JSON: the place, as in shared/begin.lua

Returns {outcome, what it began}, as `begin` does (shared/begin.lua). A job that was claimed and is
  not begun waits for its turn again.
]]
local facts, outcome = begin_claimed(KEYS[1], ARGV[1], cjson.decode(ARGV[2]))
return { outcome, facts }
