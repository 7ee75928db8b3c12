#!lua flags=allow-oom
--[[
Gives a job's notice its turn among the notices that wait to be sent. Owners take turns, and each
owner has one notice in a turn. A notice gets the turn after the present one, or after the last that
its owner was given. When nothing waits, turns begin again at 1.

KEYS[1] the job's record

Returns the turn, from 1.
]]
local on_key, given_key = root .. ':webhook_turn', root .. ':webhook_turns'
if redis.call('EXISTS', root .. ':webhooks:prioritized') == 0 then
  redis.call('DEL', on_key, given_key)
end
local on = tonumber(redis.call('GET', on_key) or 0)
local given = tonumber(redis.call('HGET', given_key, owner) or 0)
local turn = math.max(on, given) + 1
redis.call('HSET', given_key, owner, turn)
return turn
