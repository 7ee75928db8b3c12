#!lua flags=allow-oom
--[[
Prolongs a lease, and tells the run what is wanted of it.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] for how long, in milliseconds
ARGV[4] whom its death would be blamed on from now on (acquire.lua): own, shared, none

Returns the job's status. Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
set('lease_expires_at', now + ARGV[3], 'blame', ARGV[4])
return get('status')
