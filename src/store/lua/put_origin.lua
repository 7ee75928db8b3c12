#!lua
--[[
Stores a chunk of what a job begins with that is about to be created and has been promised the room.
It expires unless the job is created with it.

KEYS[1] the new job's record
ARGV[1] how many bytes the blob `origin` has
ARGV[2] the chunk's number, from 0
ARGV[3] the bytes
]]
if ARGV[2] == '0' then make_room(blob_room(ARGV[1])) end
redis.call('SET', job .. ':chunk:origin:' .. ARGV[2], ARGV[3], 'PX', LOOSE_MS)
