#!lua
--[[
Adds an event to a job, ended or not: a message to its webhook could not be delivered. Does nothing
if the job was deleted.

KEYS[1] the job's record
ARGV[1] the id of the message; it is told only once, even if the message is given up several times
ARGV[2] the event, as JSON
]]
if get('status') and redis.call('HSETNX', job, 'undelivered:' .. ARGV[1], 1) == 1 then
  append(ARGV[2])
end
