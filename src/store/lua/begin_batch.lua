#!lua
--[[
Notes which ids the jobs of a batch have, before any of them is created.

KEYS[1] the record that the first job will have
ARGV[1] SHA-256 of the idempotency key
ARGV[2] how long the idempotency key is kept, in milliseconds
ARGV[3] SHA-256 of the request's body

Returns {'begun', id of the first job}, {'replayed', id of the first job} if the key was used for
  this body, {'mismatch', id} if the key was used for another body
]]
local used = used_before(ARGV[1], ARGV[3])
if used then return used end
note_use(ARGV[1], ARGV[3], ARGV[2])
return { 'begun', id }
