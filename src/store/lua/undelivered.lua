#!lua
--[[
Adds an event to a job that is still there, ended or not: that another of its events could not be delivered.

KEYS[1] the job's record
ARGV[1] the id of the message that could not be delivered, which is told once however often it is given up
ARGV[2] the event, as JSON
]]
if get('status') and redis.call('HSETNX', job, 'undelivered:' .. ARGV[1], 1) == 1 then append(ARGV[2]) end
