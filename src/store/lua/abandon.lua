#!lua flags=allow-oom
--[[
Deletes an upload that will not be committed.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] the blob's name

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
local bytes = redis.call('HGET', job .. ':uploads', ARGV[3])
if not bytes then return end
delete_blob(ARGV[3], tonumber(bytes))
redis.call('HDEL', job .. ':uploads', ARGV[3])
spend(-blob_room(bytes))
