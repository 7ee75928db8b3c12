#!lua flags=allow-oom
--[[
Points the record of an ended job to its entry in the archive, if the job still has what was copied
there. What the record does not need any more goes. Files, rows and events stay for a while, so that
what is being downloaded can be finished, or until their room is needed (shared/room.lua).

KEYS[1] the job's record
ARGV[1] the place of the entry: segment, offset, length of the head, length, SHA-256
ARGV[2] the fields that the record keeps for scripts: name, NUL, value, NUL, …
ARGV[3] the fields that it keeps for lists, compressed
ARGV[4] how many elements of the list of events were copied
ARGV[5] how many bytes what is left behind takes
ARGV[6…] the files that were copied: the part of their key after the job's, and their blob

Returns 'archived', 'changed' if the job is not as it was copied, 'missing' if there is none
]]
local status = get('status')
if not status then return 'missing' end
if get('archived') then return get('archived') == ARGV[1] and 'archived' or 'changed' end
if not ended[status] or redis.call('EXISTS', job .. ':messages') == 1 then return 'changed' end
if redis.call('LLEN', job .. ':events') ~= tonumber(ARGV[4]) then return 'changed' end
for i = 6, #ARGV, 2 do
  if redis.call('HGET', job .. ARGV[i], 'blob') ~= ARGV[i + 1] then return 'changed' end
end

each_result_key(job, function(key) redis.call('PEXPIRE', key, LOOSE_MS) end)
add_dropped(ARGV[5] .. ' ' .. job)
redis.call('ZREM', root .. ':unarchived', job)

-- These fields stay by themselves: scripts look for them or take them away, and a name may hold a
-- NUL.
local alone = redis.call('HMGET', job, 'metadata', 'name')
local stay = { metadata = alone[1], webhook = get('webhook'), name = alone[2] }
local _, more = packed_events()
local before, events = number('counted_bytes') or 0, whole(ARGV[4] + more)
erase_record()
write_archived(ARGV[1], status, ARGV[2], ARGV[3], events, ARGV[5], before)
for name, value in pairs(stay) do
  if value then set(name, value) end
end
return 'archived'
