#!lua
--[[
Stores a chunk of an upload. It expires unless it is committed.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the blob's name
ARGV[4] the chunk's number, from 0
ARGV[5] the bytes

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
redis.call('SET', job .. ':chunk:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5], 'PX', LOOSE_MS)
