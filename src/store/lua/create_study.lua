#!lua
--[[
Creates a study: its record, its entries in the lists, its idempotency key, its hold on its
datasets, its first event.

KEYS[1]  the study's record
ARGV[1]  SHA-256 of the idempotency key, or ''
ARGV[2]  how long the idempotency key is kept, in milliseconds
ARGV[3]  SHA-256 of the request's body
ARGV[4]  ids of the datasets that its trials use, separated by spaces
ARGV[5]  how many bytes it may take in Redis
ARGV[6]  how many studies its owner may have
ARGV[7]  the first event, as JSON
ARGV[8…] the record's fields: name, value, …

Returns {'created'}, {'replayed', id} if the key was used for this body, {'mismatch', id} if the key
  was used for another body, {'dataset_missing'}
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local used = used_before(ARGV[1], ARGV[3])
if used then return used end
for dataset in dataset_keys(ARGV[4]) do
  if redis.call('EXISTS', dataset) == 0 then return { 'dataset_missing' } end
end
local known = redis.call('ZCARD', owned .. ':studies')
if known >= tonumber(ARGV[6]) then
  error({ err = string.format('LIMITED studies %d %d 1', ARGV[6], known) })
end
assert_room(tonumber(ARGV[5]))
use_bytes('checkpoint_bytes', ARGV[5])
for dataset in dataset_keys(ARGV[4]) do redis.call('SADD', dataset .. ':jobs', id) end
if ARGV[1] ~= '' then note_use(ARGV[1], ARGV[3], ARGV[2]) end
set('status', 'running', 'created_at', now, 'dataset', ARGV[4], 'reserved', ARGV[5],
  unpack(ARGV, 8))
redis.call('ZADD', owned .. ':studies', 0, id)
redis.call('HSET', root .. ':studies', id, owner)
note(ARGV[7])
return { 'created' }
