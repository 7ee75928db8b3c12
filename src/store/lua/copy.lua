#!lua
--[[
Copies a chunk of another job's blob for a job that is about to be created and has been promised the
room. The copy expires unless the job is created with it.

KEYS[1] the new job's record
ARGV[1] id of the other job, of the same owner
ARGV[2] the name of the other job's blob; the copy is named `origin`
ARGV[3] how many bytes the blob has
ARGV[4] the chunk's number, from 0

Returns 'copied', 'missing'
]]
if ARGV[4] == '0' then make_room(blob_room(ARGV[3])) end
local chunk = owned .. ':job:' .. ARGV[1] .. ':chunk:' .. ARGV[2] .. ':' .. ARGV[4]
local copy = job .. ':chunk:origin:' .. ARGV[4]
if redis.call('COPY', chunk, copy, 'REPLACE') == 0 then return 'missing' end
redis.call('PEXPIRE', copy, LOOSE_MS)
return 'copied'
