#!lua flags=allow-oom
--[[
Cancels or pauses a job whose run was asked to do so and died before it could.

KEYS[1] the job's record
]]
if get('status') then settle('; the run was already gone') end
