#!lua flags=allow-oom
--[[
Begins an upload. Its room was promised to the job when the job was created (shared/room.lua). If
the memory is needed, dropped blobs are deleted, the oldest first. An earlier upload for the same
purpose that was not committed never will be, and is deleted too.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] bytes
ARGV[4] the purpose, a word: a job has one upload for each at a time

Returns the blob's name, or nil if there is no room. That can happen only to a job that was created
  before room was promised. Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
delete_uploads(ARGV[4])
local room = blob_room(ARGV[3])
if room > number('reserved') - number('spent') and not has_room(room) then return nil end
make_room(room)
local upload = increase('uploads', 1)
local blob = ARGV[1] .. '.' .. ARGV[2] .. '.' .. upload .. '.' .. ARGV[4]
redis.call('HSET', job .. ':uploads', blob, ARGV[3])
spend(room)
return blob
