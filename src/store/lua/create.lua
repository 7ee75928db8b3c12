#!lua
--[[
Creates a job: its record, its place in the lists, its idempotency key, its hold on the dataset and on the state it begins with, its turn, its first event.

KEYS[1]  the job's record
ARGV[1]  SHA-256 of the idempotency key, or ''
ARGV[2]  how long the idempotency key is kept, in milliseconds
ARGV[3]  SHA-256 of the request's body
ARGV[4]  id of the dataset it uses, or ''
ARGV[5]  how many bytes of checkpoints it may have at once
ARGV[6]  bytes of the blob `origin`, the copy of another job's state, or ''
ARGV[7]  message of the first event
ARGV[8…] the record's fields: name, value, …

Returns {'created', turn}, {'replayed', id} if the key was used for this body, {'mismatch', id} if for another, {'dataset_missing'}, {'origin_missing'}
Error LIMITED if its owner may not have more.
]]
local idempotency = owned .. ':idempotency:' .. ARGV[1]
local dataset = owned .. ':dataset:' .. ARGV[4]

if ARGV[1] ~= '' then
  local used = redis.call('HMGET', idempotency, 'job', 'body_sha256')
  if used[1] then return { used[2] == ARGV[3] and 'replayed' or 'mismatch', used[1] } end
end
stay_within('waiting', count('queued', 'paused'), 1)
stay_within('checkpoint_bytes', used_bytes('checkpoint_bytes'), tonumber(ARGV[5]))
if ARGV[6] ~= '' and missing_chunk('origin', ARGV[6]) then return { 'origin_missing' } end
if ARGV[4] ~= '' then
  if redis.call('EXISTS', dataset) == 0 then return { 'dataset_missing' } end
  redis.call('SADD', dataset .. ':jobs', id)
  set('dataset', ARGV[4])
end
if ARGV[1] ~= '' then
  redis.call('HSET', idempotency, 'job', id, 'body_sha256', ARGV[3])
  redis.call('PEXPIRE', idempotency, ARGV[2])
  set('idempotency', ARGV[1])
end
if ARGV[6] ~= '' then keep_blob('origin', ARGV[6]) end
set('created_at', now, 'run', 0, 'delivery', 1, unpack(ARGV, 8))
local turn = take_turn()
count_bytes(tonumber(ARGV[5]))
redis.call('ZADD', owned .. ':jobs', 0, id)
redis.call('HSET', root .. ':open', id, owner)
append(event('created', ARGV[7]))
return { 'created', turn }
