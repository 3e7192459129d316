package main

func dirStory(dir, lock string, k int) (string, error) { return "", nil }
