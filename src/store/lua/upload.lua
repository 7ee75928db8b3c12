#!lua flags=allow-oom
--[[
Begins an upload. What it takes was promised to the job when it was made (room.lua). Blobs that were let go are deleted, the oldest first, when their room is
needed. What was uploaded before for the same purpose and not committed never will be: it is deleted.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] bytes
ARGV[4] the purpose, a word: a job has one upload for each at a time

Returns the blob's name, or nil if there is no room, which may be if the job's record is older than promises. Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
delete_uploads(ARGV[4])
local room = blob_room(ARGV[3])
if room > number('reserved') - number('spent') and not has_room(room) then return nil end
make_room(room)
local blob = ARGV[1] .. '.' .. ARGV[2] .. '.' .. redis.call('HINCRBY', job, 'uploads', 1) .. '.' .. ARGV[4]
redis.call('HSET', job .. ':uploads', blob, ARGV[3])
spend(room)
return blob
