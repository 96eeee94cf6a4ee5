"""What each part of the page shows: from reports to the words and pictures that its template lays out."""
