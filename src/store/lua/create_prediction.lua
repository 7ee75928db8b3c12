#!lua
--[[
Creates a prediction over a dataset. Its record is that of a job (shared/job.lua): it waits, runs
and ends as jobs do. It holds the dataset, and the job whose model predicts, until it has ended.

KEYS[1]  its record
ARGV[1]  id of the job whose model predicts
ARGV[2]  id of the dataset
ARGV[3]  how many bytes it may need in Redis
ARGV[4]  how many bytes its result may have
ARGV[5]  how many predictions its owner may have
ARGV[6]  the first event, as JSON
ARGV[7…] the record's fields: name, value, …

Returns {'created', turn}, {'job_missing'}, {'dataset_missing'}
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local model_job = owned .. ':job:' .. ARGV[1]
local dataset = owned .. ':dataset:' .. ARGV[2]
if redis.call('EXISTS', model_job) == 0 then return { 'job_missing' } end
if redis.call('EXISTS', dataset) == 0 then return { 'dataset_missing' } end
stay_within('waiting', count('queued', 'paused'), 1)
stay_within('dataset_bytes', used_bytes('dataset_bytes'), tonumber(ARGV[4]))
local known = redis.call('ZLEXCOUNT', owned .. ':jobs', '[pred_', '(pred`')
if known >= tonumber(ARGV[5]) then
  error({ err = string.format('LIMITED predictions %d %d 1', ARGV[5], known) })
end
assert_room(tonumber(ARGV[3]))
redis.call('SADD', dataset .. ':jobs', id)
redis.call('ZADD', model_job .. ':predictions', 0, id)
redis.call('HSET', root .. ':results', id, owner)
set('created_at', now, 'run', 0, 'delivery', 1, 'reserved', ARGV[3], 'spent', 0,
  'event_limits', '{}', 'model_job', ARGV[1], 'dataset', ARGV[2], 'result_bytes', ARGV[4],
  unpack(ARGV, 7))
promise(ARGV[3])
local room = RECORD_BYTES
for i = 7, #ARGV do room = room + text_room(ARGV[i], FIELD_BYTES) end
spend(room)
use_bytes('dataset_bytes', ARGV[4])
local turn = take_turn()
count_bytes(tonumber(ARGV[3]))
redis.call('ZADD', owned .. ':jobs', 0, id)
redis.call('HSET', root .. ':open', id, owner)
append(ARGV[6])
return { 'created', turn }
