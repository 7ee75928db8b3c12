#!lua
--[[
Records an uploaded dataset, unless its owner has those bytes already.

KEYS[1] the dataset
ARGV[1] SHA-256 of the file
ARGV[2] the dataset as JSON, to which its time is added here

Returns the dataset, and 1 if it is new.
]]
local known = redis.call('HGET', owned .. ':datasets:sha256', ARGV[1])
if known then return { redis.call('GET', owned .. ':dataset:' .. known), 0 } end
local dataset = string.format('{"created_at":%d,', now) .. string.sub(ARGV[2], 2)
redis.call('SET', KEYS[1], dataset)
redis.call('HSET', owned .. ':datasets:sha256', ARGV[1], id)
redis.call('ZADD', owned .. ':datasets', 0, id)
redis.call('HINCRBY', root .. ':files', ARGV[1], 1)
return { dataset, 1 }
