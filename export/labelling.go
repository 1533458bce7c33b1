package export

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// labelRule is how the names of pictures tell their classes, in words for people.
type labelRule string

// The rules. Class numbers begin with 0, as the lines of the labels do.
const (
	unlabelled    labelRule = ""
	fileNumbers   labelRule = "file names that start with the class number"
	folderLabels  labelRule = "folders named by label"
	folderNumbers labelRule = "folders named by class number"
	sortedFolders labelRule = "a folder for each class, sorted by name"
)

// labelPictures finds the rule by which pictures name their classes and gives the class of each. files are their paths with slashes, relative
// to the folder that has them all; folders are the names of the folders directly in it. Pictures that lie in none of them name their class by
// themselves (fileNumbers): all must, and none may if there are pictures in folders. Of folders, the first rule that fits all of them is
// taken: folderLabels, where an underscore may stand for a space, folderNumbers, and at last sortedFolders, for which there must be as
// many as classes. A picture in a folder's folder belongs to the outer one.
func labelPictures(files, folders, labels []string) (labelRule, []int, error) {
	if len(files) == 0 {
		return unlabelled, nil, errors.New("want pictures, have none")
	}
	var flat, nested string // an example of each kind
	for _, name := range files {
		if strings.Contains(name, "/") {
			nested = name
		} else {
			flat = name
		}
	}
	if flat != "" && nested != "" {
		return unlabelled, nil, fmt.Errorf("want pictures in folders of their classes, or all side by side, have both %s and %s", nested, flat)
	}
	if flat != "" {
		classes, err := numberedFiles(files, len(labels))
		return fileNumbers, classes, err
	}
	rule, class, err := folderClasses(folders, labels)
	if err != nil {
		return unlabelled, nil, err
	}
	classes := make([]int, len(files))
	for n, name := range files {
		folder, _, _ := strings.Cut(name, "/")
		i, ok := class[folder]
		if !ok {
			return unlabelled, nil, fmt.Errorf("want pictures in folders of their classes, have %s", name)
		}
		classes[n] = i
	}
	return rule, classes, nil
}

// numberedFiles reads the class number at the start of each name: decimal digits, and behind them something else.
func numberedFiles(files []string, numClasses int) ([]int, error) {
	classes := make([]int, len(files))
	for i, name := range files {
		digits := len(name) - len(strings.TrimLeft(name, "0123456789"))
		if digits == 0 {
			return nil, fmt.Errorf("want folders of classes, or names that all start with the class number, have %s", name)
		}
		class, err := strconv.Atoi(name[:digits])
		if err != nil || class >= numClasses {
			return nil, fmt.Errorf("want class numbers from 0 to %d at the start of names, have %s", numClasses-1, name)
		}
		classes[i] = class
	}
	return classes, nil
}

// folderClasses gives the class of each folder, and the rule that tells it.
func folderClasses(folders, labels []string) (labelRule, map[string]int, error) {
	byLabel := map[string]int{}
	for i, label := range labels {
		label = spaced(label)
		if _, twice := byLabel[label]; twice {
			i = -1 // names no class
		}
		byLabel[label] = i
	}
	if class, ok := matchAll(folders, func(name string) (int, bool) {
		i, ok := byLabel[spaced(name)]
		return i, ok && i >= 0
	}); ok {
		return folderLabels, class, nil
	}
	if class, ok := matchAll(folders, func(name string) (int, bool) {
		i, ok := wholeNumber(name)
		return i, ok && i < len(labels)
	}); ok {
		return folderNumbers, class, nil
	}
	if len(folders) != len(labels) {
		return unlabelled, nil, fmt.Errorf("want one folder for each of %d classes, or folders named by label or class number, have %d folders, %s",
			len(labels), len(folders), examples(folders))
	}
	if err := checkOrder(folders); err != nil {
		return unlabelled, nil, err
	}
	class := map[string]int{}
	for i, name := range folders {
		class[name] = i
	}
	return sortedFolders, class, nil
}

// matchAll gives the class of each name, if all have one.
func matchAll(names []string, match func(name string) (int, bool)) (map[string]int, bool) {
	class := map[string]int{}
	for _, name := range names {
		i, ok := match(name)
		if !ok {
			return nil, false
		}
		class[name] = i
	}
	return class, true
}

// checkOrder refuses numbers that sort otherwise as names: 1, 10, 2.
func checkOrder(sorted []string) error {
	for i := 1; i < len(sorted); i++ {
		before, isNumber := wholeNumber(sorted[i-1])
		if after, ok := wholeNumber(sorted[i]); ok && isNumber && after < before {
			return fmt.Errorf("want folders whose names have the order of the classes, or class numbers from 0, have %s before %s", sorted[i-1], sorted[i])
		}
	}
	return nil
}

// wholeNumber reads a name that consists of decimal digits.
func wholeNumber(name string) (int, bool) {
	if name == "" || strings.TrimLeft(name, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(name)
	return n, err == nil
}

// spaced writes a label or a folder's name with spaces.
func spaced(name string) string { return strings.ReplaceAll(name, "_", " ") }

// examples names the first three.
func examples(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
