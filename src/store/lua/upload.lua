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
if not make_room(ARGV[3], ARGV[4]) then return nil end
local blob = ARGV[1] .. '.' .. ARGV[2] .. '.' .. redis.call('HINCRBY', job, 'uploads', 1)
redis.call('HSET', job .. ':uploads', blob, ARGV[3])
redis.call('PEXPIRE', job .. ':uploads', LOOSE_MS)
return blob
