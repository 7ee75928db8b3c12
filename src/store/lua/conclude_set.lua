#!lua flags=allow-oom
--[[
Ends a set of models all of whose shards have ended, with the result that was made of them.

KEYS[1] the set's record
ARGV[1] the result, as JSON
ARGV[2] the event, as JSON
ARGV[3] JSON: how many models succeeded, failed, were skipped
ARGV[4] bytes of all its files

Returns 1 if it did, 0 if the set has ended otherwise, or is to stop
]]
redis.call('ZREM', CONCLUDING, job)
if get('status') ~= 'running' or number('shards_ended') ~= number('shards') then return 0 end
for outcome, models in pairs(cjson.decode(ARGV[3])) do set('models_' .. outcome, models) end
use_bytes('dataset_bytes', ARGV[4] - number('set_bytes'))
set('set_bytes', ARGV[4])
unset('metrics_so_far')
set('result', ARGV[1], 'updated_at', now)
spend(text_room(ARGV[1], FIELD_BYTES))
append(ARGV[2])
end_job('succeeded')
return 1
