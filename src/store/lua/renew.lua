#!lua flags=allow-oom
--[[
Extends a lease, and returns the status, which says what is wanted of the run.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3] for how long, in milliseconds
ARGV[4] what would be blamed if the run died from now on (acquire.lua): own, shared, none

Returns the job's status. Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
set('lease_expires_at', now + ARGV[3], 'blame', ARGV[4])
return get('status')
