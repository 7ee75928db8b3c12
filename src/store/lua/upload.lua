#!lua flags=allow-oom
--[[
Begins an upload, if there is room. Checkpoints may fill Redis up to a share of its `maxmemory`; the rest belongs to everything else. Blobs that were
let go are deleted, the oldest first, when their room is needed.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] bytes
ARGV[4] the share that may be filled, 0 to 1

Returns the blob's name, or nil if there is no room. Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
local memory = redis.call('INFO', 'memory')
local limit = tonumber(string.match(memory, 'maxmemory:(%d+)'))
local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
local dropped = root .. ':dropped'
redis.call('ZREMRANGEBYSCORE', dropped, '-inf', now)
while limit > 0 and used + ARGV[3] > limit * ARGV[4] do
  local oldest = redis.call('ZPOPMIN', dropped)[1]
  if not oldest then return nil end
  local bytes, chunk = string.match(oldest, '^(%d+) (.+)$')
  for i = 0, math.ceil(bytes / CHUNK_BYTES) - 1 do redis.call('DEL', chunk .. i) end
  used = used - bytes
end
local blob = ARGV[1] .. '.' .. ARGV[2] .. '.' .. redis.call('HINCRBY', job, 'uploads', 1)
redis.call('HSET', job .. ':uploads', blob, ARGV[3])
redis.call('PEXPIRE', job .. ':uploads', LOOSE_MS)
return blob
