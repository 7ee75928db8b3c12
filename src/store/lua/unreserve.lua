#!lua flags=allow-oom
--[[
Gives up a job that was not created: gives back the room that it was promised, and deletes what was
copied for it.

KEYS[1] the job's record
ARGV[1] how many bytes the job was promised
ARGV[2] bytes of the blob `origin`, or 0
]]
-- Another request, which sends the same batch, has created it.
if get('status') then return end
give_back(ARGV[1] .. ' ' .. owner .. ' ' .. id)
delete_blob('origin', tonumber(ARGV[2]))
