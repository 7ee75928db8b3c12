#!lua
--[[
Promises room to a job that is about to be created, before any of its data are stored. The promise
lapses after a while unless the job is created.

KEYS[1] the job's record
ARGV[1] SHA-256 of the idempotency key, or ''
ARGV[2] SHA-256 of the request's body
ARGV[3] how many bytes it may need

Returns {'reserved'}, {'replayed', id} if the key was used for this body or the job is there
  already, {'mismatch', id} if the key was used for another body
Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
local used = used_before(ARGV[1], ARGV[2])
if used then return used end
if get('status') then return { 'replayed', id } end
stay_within('waiting', count('queued', 'paused'), 1)
assert_room_for_job(tonumber(ARGV[3]))
-- A batch that is sent twice at once creates the same job twice at once.
if redis.call('ZADD', PENDING, now + LOOSE_MS, ARGV[3] .. ' ' .. owner .. ' ' .. id) == 1 then
  promise(ARGV[3])
  use_bytes('checkpoint_bytes', ARGV[3])
end
return { 'reserved' }
