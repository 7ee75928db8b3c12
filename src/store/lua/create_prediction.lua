#!lua
--[[
Creates a prediction over a dataset. Its record is that of a job (shared/job.lua): it waits, runs
and ends as jobs do. It holds its datasets, and the job whose model predicts, until it has ended.

KEYS[1]  its record
ARGV[1]   SHA-256 of the idempotency key, or ''
ARGV[2]   how long the idempotency key is kept, in milliseconds
ARGV[3]   SHA-256 of the request's body
ARGV[4]   ids of the datasets, separated by spaces
ARGV[5]   id of the job whose model predicts
ARGV[6]   how many bytes it may need in Redis
ARGV[7]   how many bytes its result may have
ARGV[8]   how many predictions its owner may have
ARGV[9]   the first event, as JSON
ARGV[10…] the record's fields: name, value, …

Returns {'created', 1 if a wake-up must be added to the queue}, {'replayed', id} if the key was used
  for this body, {'mismatch', id} if the key was used for another body, {'job_missing'},
  {'dataset_missing'}
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local used = used_before(ARGV[1], ARGV[3])
if used then return used end
local model_job = owned .. ':job:' .. ARGV[5]
if redis.call('EXISTS', model_job) == 0 then return { 'job_missing' } end
for dataset in dataset_keys(ARGV[4]) do
  if redis.call('EXISTS', dataset) == 0 then return { 'dataset_missing' } end
end
stay_within('waiting', function() return count('queued', 'paused') end, 1)
stay_within('dataset_bytes', function() return used_bytes('dataset_bytes') end, tonumber(ARGV[7]))
local known = redis.call('ZLEXCOUNT', owned .. ':jobs', '[pred_', '(pred`')
if known >= tonumber(ARGV[8]) then
  error({ err = string.format('LIMITED predictions %d %d 1', ARGV[8], known) })
end
assert_room(tonumber(ARGV[6]))
for dataset in dataset_keys(ARGV[4]) do redis.call('SADD', dataset .. ':jobs', id) end
if ARGV[1] ~= '' then
  note_use(ARGV[1], ARGV[3], ARGV[2])
  set('idempotency', ARGV[1])
end
redis.call('ZADD', model_job .. ':predictions', 0, id)
redis.call('HSET', root .. ':results', id, owner)
set('created_at', now, 'run', 0, 'reserved', ARGV[6], 'spent', 0,
  'event_limits', '{}', 'model_job', ARGV[5], 'dataset', ARGV[4], 'result_bytes', ARGV[7],
  unpack(ARGV, 10))
promise(ARGV[6])
local room = RECORD_BYTES
for i = 10, #ARGV do room = room + text_room(ARGV[i], FIELD_BYTES) end
spend(room)
use_bytes('dataset_bytes', ARGV[7])
local wake = queue_up()
count_bytes(tonumber(ARGV[6]))
redis.call('ZADD', owned .. ':jobs', 0, id)
redis.call('HSET', root .. ':open', id, owner)
append(ARGV[9])
return { 'created', wake }
