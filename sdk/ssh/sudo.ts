/**
 * Begins a command line of sudo whose command sees nothing of the environment of who logs in: not every sudoers file has
 * `env_reset` and `secure_path`, and a program that root finds through another user's PATH would be that user's.
 */
export const CLEAN_ENVIRONMENT = '/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C';
