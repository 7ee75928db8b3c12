#!lua flags=allow-oom
--[[
Lets a shard of a set be trained again whose results are missing or damaged. It gives the same ones.
A disk that damages them each time would keep the set from its end for ever. So the set fails after
some times.

KEYS[1] the set's record
ARGV[1] number of the shard
ARGV[2] how many models it has

Returns 1 if a wake-up must be added to the queue
]]
-- How often the results of one shard may be found damaged, as often as its runs may die.
local MAX_DAMAGED = 5

redis.call('ZREM', CONCLUDING, job)
if get('status') ~= 'running' or number('shards_ended') ~= number('shards') then return 0 end
local times = redis.call('HINCRBY', job .. ':damaged', ARGV[1], 1)
if times == MAX_DAMAGED then
  fail_set(cjson.encode({
    code = 'results_unreadable',
    message = 'The results of shard ' .. ARGV[1] .. ' were damaged or missing ' .. times ..
      ' times, whenever they were to be read.',
    suggestion = 'Look for what damages files in the data directory, and post the job again.',
    step = cjson.null,
  }))
  go_on()
  return 0
end
increase('shards_ended', -1)
-- How its models had ended is not known any more, nor how many bytes they took. The true numbers
-- come with the result.
local rest = tonumber(ARGV[2])
for _, outcome in ipairs(OUTCOMES) do
  local taken = math.min(rest, number('models_' .. outcome))
  increase('models_' .. outcome, -taken)
  rest = rest - taken
end
redis.call('RPUSH', job .. ':todo', ARGV[1])
go_on()
return wake_up_needed()
