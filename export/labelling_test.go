package export

import (
	"slices"
	"strings"
	"testing"
)

func TestLabelPictures(t *testing.T) {
	ten := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	three := []string{"great white shark", "crane", "zebra"}
	for _, test := range []struct {
		name           string
		files, folders []string
		labels         []string
		rule           labelRule
		classes        []int
	}{
		{"numbers", []string{"000_n01440764.jpg", "1.png", "007-goose.jpg"}, nil, ten, fileNumbers, []int{0, 1, 7}},
		{"numbers beside an empty folder", []string{"3.png"}, []string{"notes"}, ten, fileNumbers, []int{3}},
		{"labels", []string{"crane/1.jpg", "great_white_shark/x.jpg", "great_white_shark/sub/y.jpg"}, []string{"crane", "great_white_shark"},
			three, folderLabels, []int{1, 0, 0}},
		{"labels with spaces", []string{"great white shark/x.jpg"}, []string{"great white shark"}, three, folderLabels, []int{0}},
		{"labels that are numbers", []string{"1/x.jpg", "2/x.jpg"}, []string{"1", "2"}, []string{"2", "1", "0"}, folderLabels, []int{1, 0}},
		{"folder numbers", []string{"02/000.jpg", "9/001.jpg"}, []string{"02", "9"}, ten, folderNumbers, []int{2, 9}},
		{"sorted", []string{"n01/5.jpg", "n02/5.jpg", "n03/5.jpg"}, []string{"n01", "n02", "n03"}, three, sortedFolders, []int{0, 1, 2}},
		{"sorted, one without pictures", []string{"n02/5.jpg"}, []string{"n01", "n02", "n03"}, three, sortedFolders, []int{1}},
		{"sorted numbers from 1", []string{"01/a.jpg", "02/a.jpg", "03/a.jpg"}, []string{"01", "02", "03"}, three, sortedFolders, []int{0, 1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule, classes, err := labelPictures(test.files, test.folders, test.labels)
			if err != nil {
				t.Fatal(err)
			}
			if rule != test.rule || !slices.Equal(classes, test.classes) {
				t.Errorf("got %q, %v, want %q, %v", rule, classes, test.rule, test.classes)
			}
		})
	}
}

func TestLabelPicturesErrors(t *testing.T) {
	labels := []string{"crane", "zebra", "crane"}
	one := make([]string, 11)
	for i := range one {
		one[i] = string(rune('a' + i))
	}
	for _, test := range []struct {
		name           string
		files, folders []string
		labels         []string
		want           string
	}{
		{"nothing", nil, nil, labels, "want pictures, have none"},
		{"no number", []string{"1.jpg", "dog.jpg"}, nil, labels, "have dog.jpg"},
		{"too large", []string{"1.jpg", "3.jpg"}, nil, labels, "want class numbers from 0 to 2 at the start of names, have 3.jpg"},
		{"far too large", []string{"99999999999999999999.jpg"}, nil, labels, "have 99999999999999999999.jpg"},
		{"both kinds", []string{"1.jpg", "zebra/2.jpg"}, []string{"zebra"}, labels, "have both zebra/2.jpg and 1.jpg"},
		{"folders missing", []string{"n1/a.jpg", "n2/a.jpg"}, []string{"n1", "n2"}, labels, "want one folder for each of 3 classes, or folders named by label or class number, have 2 folders, n1, n2"},
		{"a label that is there twice", []string{"crane/a.jpg"}, []string{"crane"}, labels, "have 1 folders, crane"},
		{"numbers that sort otherwise", []string{"1/a.jpg"}, []string{"1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"}, one, "have 11 before 2"},
		{"a folder that isn't listed", []string{"zebra/a.jpg", "x/a.jpg"}, []string{"zebra"}, labels, "have x/a.jpg"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule, classes, err := labelPictures(test.files, test.folders, test.labels)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, error %v, want an error with %q", rule, classes, err, test.want)
			}
		})
	}
}

// FuzzLabelPictures labels pictures of any names: there is a class for each, in range, or an error.
func FuzzLabelPictures(f *testing.F) {
	f.Add("000_n01440764.jpg\n12.jpg", "", "a\nb")
	f.Add("n1/a.jpg\nn2/sub/b.jpg", "n1\nn2", "tench\nEnglish springer")
	f.Add("great_white_shark/a.jpg", "great_white_shark", "crane\ngreat white shark\ncrane")
	f.Add("1/a.jpg\n10/a.jpg", "1\n10\n2", "x\ny\nz")
	f.Fuzz(func(t *testing.T, files, folders, labels string) {
		names, known := strings.Split(files, "\n"), strings.Split(labels, "\n")
		rule, classes, err := labelPictures(names, strings.Split(folders, "\n"), known)
		if err != nil {
			return
		}
		if rule == unlabelled || len(classes) != len(names) {
			t.Fatalf("got rule %q and %d classes of %d pictures", rule, len(classes), len(names))
		}
		for i, c := range classes {
			if c < 0 || c >= len(known) {
				t.Fatalf("%q: got class %d of %d", names[i], c, len(known))
			}
		}
	})
}
