#!lua flags=allow-oom
--[[
Gives back, once, the room of a webhook message that was delivered or given up.

KEYS[1] the job's record
ARGV[1] the message's id: <job id>-<event id>
]]
local event = string.match(ARGV[1], '%d+$')
local bytes = tonumber(redis.call('HGET', job .. ':messages', event))
if not bytes then return end
redis.call('HDEL', job .. ':messages', event)
if not spend(-bytes) then count_bytes(number('counted_bytes') - bytes) end
