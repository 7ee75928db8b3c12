#!lua flags=allow-oom
--[[
Changes the status of a study. One that has ended lets go of its datasets.

KEYS[1]  the study's record
ARGV[1]  the status that it is to have
ARGV[2]  the statuses of which it must have one, separated by spaces
ARGV[3]  the event, as JSON
ARGV[4…] fields of the record that change too: name, value, …

Returns 'changed', 'wrong_status', 'missing'
]]
local status = get('status')
if not status then return 'missing' end
if not string.find(' ' .. ARGV[2] .. ' ', ' ' .. status .. ' ', 1, true) then
  return 'wrong_status'
end
set('status', ARGV[1], unpack(ARGV, 4))
unset('held')
if ended[ARGV[1]] then
  set('finished_at', now)
  redis.call('HDEL', root .. ':studies', id)
  for dataset in dataset_keys(get('dataset')) do redis.call('SREM', dataset .. ':jobs', id) end
end
note(ARGV[3])
publish('progress')
return 'changed'
