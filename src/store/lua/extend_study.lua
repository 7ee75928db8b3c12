#!lua
--[[
Lets a study that has succeeded or failed go on to more trials. It holds its datasets again.

KEYS[1] the study's record
ARGV[1] the settings that it has, as JSON
ARGV[2] the settings that it is to have, as JSON
ARGV[3] how many more bytes it may take in Redis
ARGV[4] the event, as JSON

Returns 'extended', 'dataset_missing', or 'stale' if it is something else.
Errors: LIMITED if its owner may not have so many bytes, FULL if there is no room.
]]
local status = get('status')
if status ~= 'succeeded' and status ~= 'failed' then return 'stale' end
if get('settings') ~= ARGV[1] then return 'stale' end
for dataset in dataset_keys(get('dataset')) do
  if redis.call('EXISTS', dataset) == 0 then return 'dataset_missing' end
end
assert_room(tonumber(ARGV[3]))
use_bytes('checkpoint_bytes', ARGV[3])
for dataset in dataset_keys(get('dataset')) do redis.call('SADD', dataset .. ':jobs', id) end
increase('reserved', tonumber(ARGV[3]))
set('status', 'running', 'settings', ARGV[2], 'extended_at', now)
unset('finished_at', 'trials_sha256')
redis.call('HSET', root .. ':studies', id, owner)
note(ARGV[4])
publish('progress')
return 'extended'
