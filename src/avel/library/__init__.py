"""Libraries of videos that are searched by sound, by picture and by word."""
