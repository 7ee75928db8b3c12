#!lua flags=no-writes
--[[
Reads all of an ended job that goes into the archive. What is long is left out, and read by itself.

KEYS[1] the job's record
ARGV[1] the largest file that is read here, in bytes

Returns 'done' if there is nothing to archive, 'later' if messages to the job's webhook are on their
  way. Else {record, {step, manifest, …}, {which, file, …}, {chunk's key,
  content, …}, {name, elements or nil, …} of the lists of events and rows}
]]
-- The longest lists that are read here.
local MOST = { events = 300, rows = 2, metrics = 500 }

local status = get('status')
if not status or not ended[status] or get('archived') then return 'done' end
-- The results of predictions and of sets are files.
if get('model_job') or get('shards') then return 'done' end
if redis.call('EXISTS', job .. ':messages') == 1 then return 'later' end

local chunks = {}
local function read_file(files, name, key)
  local file = redis.call('HGETALL', key)
  if #file == 0 then return end
  table.insert(files, name)
  table.insert(files, file)
  local named = fields(file)
  if tonumber(named.bytes) > tonumber(ARGV[1]) then return end
  local chunk = job .. ':chunk:' .. named.blob .. ':0'
  table.insert(chunks, chunk)
  table.insert(chunks, redis.call('GET', chunk))
end

local checkpoints, models, lists = {}, {}, {}
for _, step in ipairs(redis.call('ZRANGE', job .. ':checkpoints', 0, -1)) do
  read_file(checkpoints, step, job .. ':checkpoint:' .. step)
end
for _, which in ipairs({ 'final', 'best' }) do
  read_file(models, which, job .. ':model:' .. which)
end
for _, name in ipairs({ 'events', 'rows', 'metrics' }) do
  local read = name == 'metrics' and 'ZRANGE' or 'LRANGE'
  local elements = redis.call(read, job .. ':' .. name, 0, MOST[name])
  table.insert(lists, name)
  table.insert(lists, #elements <= MOST[name] and elements)
end
return { redis.call('HGETALL', job), checkpoints, models, chunks, lists }
