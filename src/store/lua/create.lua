#!lua
--[[
Creates a job: its record, its entries in the lists, its idempotency key, its hold on its datasets,
on uploaded weights and on what it begins with, its place in the queue, its first event.

KEYS[1]  the job's record
ARGV[1]  SHA-256 of the idempotency key, or ''
ARGV[2]  how long the idempotency key is kept, in milliseconds
ARGV[3]  SHA-256 of the request's body
ARGV[4]  ids of the datasets that it uses, separated by spaces
ARGV[5]  how many bytes it may need until it ends; reserve.lua may have promised them before
ARGV[6]  bytes of the blob `origin`, what it begins with, or ''
ARGV[7]  the first event, as JSON
ARGV[8]  id of the uploaded weights that it begins with, or ''
ARGV[9…] the record's fields: name, value, …

Returns {'created', 1 if a wake-up must be added to the queue, time}, {'replayed', id} if the key
  was used for this body or the job is there already, {'mismatch', id} if the key was used for
  another body, {'dataset_missing'},
  {'weights_missing'}, {'origin_missing'}
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local weights = owned .. ':weights:' .. ARGV[8]

local used = used_before(ARGV[1], ARGV[3])
if used then return used end
if get('status') then return { 'replayed', id } end
if ARGV[6] ~= '' and missing_chunk('origin', ARGV[6]) then return { 'origin_missing' } end
for dataset in dataset_keys(ARGV[4]) do
  if redis.call('EXISTS', dataset) == 0 then return { 'dataset_missing' } end
end
if ARGV[8] ~= '' and redis.call('EXISTS', weights) == 0 then return { 'weights_missing' } end
stay_within('waiting', function() return count('queued', 'paused') end, 1)
local promised = give_back(ARGV[5] .. ' ' .. owner .. ' ' .. id)
if not promised then assert_room_for_job(tonumber(ARGV[5])) end
if ARGV[4] ~= '' then
  for dataset in dataset_keys(ARGV[4]) do redis.call('SADD', dataset .. ':jobs', id) end
  set('dataset', ARGV[4])
end
if ARGV[8] ~= '' then
  redis.call('SADD', weights .. ':jobs', id)
  set('weights', ARGV[8])
end
if ARGV[1] ~= '' then
  note_use(ARGV[1], ARGV[3], ARGV[2])
  set('idempotency', ARGV[1])
end
set('created_at', now, 'run', 0, 'reserved', ARGV[5], 'spent', 0, unpack(ARGV, 9))
promise(ARGV[5])
local room = RECORD_BYTES
for i = 9, #ARGV do room = room + text_room(ARGV[i], FIELD_BYTES) end
spend(room)
if ARGV[6] ~= '' then
  keep_blob('origin', ARGV[6])
  spend(blob_room(ARGV[6]))
end
if get('shards') then
  redis.call('HSET', root .. ':results', id, owner)
end
local wake = is_set() and queue_set() or queue_up()
count_bytes(tonumber(ARGV[5]))
redis.call('ZADD', owned .. ':jobs', 0, id)
redis.call('HSET', root .. ':open', id, owner)
append(ARGV[7])
return { 'created', wake, now }
