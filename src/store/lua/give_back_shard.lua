#!lua flags=allow-oom
--[[
Lets a shard of a set be trained again whose results are missing or damaged. It gives the same ones.

KEYS[1] the set's record
ARGV[1] number of the shard
ARGV[2] how many models it has

Returns 1 if a wake-up must be added to the queue
]]
redis.call('ZREM', CONCLUDING, job)
if get('status') ~= 'running' or number('shards_ended') ~= number('shards') then return 0 end
increase('shards_ended', -1)
-- Which of them succeeded is not known any more, nor how many bytes they took. The true numbers
-- come with the result.
increase('models_succeeded', -tonumber(ARGV[2]))
redis.call('RPUSH', job .. ':todo', ARGV[1])
go_on()
return wake_up_needed()
