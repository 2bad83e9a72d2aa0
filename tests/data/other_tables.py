"""Twenty rows of each other data set's table, by hand, and what they have to become."""

CHEXPERT_COLUMNS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
# One path of each row; the file names are not unique. Labels from No Finding on.
CHEXPERT = f"""{CHEXPERT_COLUMNS}
set/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0
set/train/patient00002/study1/view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,
set/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,PA,,,1.0,1.0,,,,1.0,,,0.0,,,
set/train/patient00002/study1/view2_lateral.jpg,Female,87,Lateral,,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,
set/train/patient00003/study1/view1_frontal.jpg,Male,41,Frontal,AP,,,,,,1.0,,,,0.0,,,,
set/train/patient00004/study1/view1_frontal.jpg,Male,20,Frontal,PA,,,,,1.0,,,,,,,,,
set/train/patient00004/study1/view2_lateral.jpg,Male,20,Lateral,,,,,,1.0,,,,,,,,,
set/train/patient00005/study1/view1_frontal.jpg,Male,33,Frontal,PA,1.0,,0.0,,0.0,,,,,,0.0,,,1.0
set/train/patient00006/study1/view1_frontal.jpg,Unknown,0,Frontal,AP,,,,,-1.0,,,,1.0,,1.0,,,
set/train/patient00007/study1/view1_frontal.jpg,Male,69,Frontal,AP,,1.0,,,,,,,,1.0,,,,
set/train/patient00008/study1/view1_frontal.jpg,Male,81,Frontal,AP,,,1.0,1.0,,-1.0,,,,-1.0,,,,
set/train/patient00009/study1/view1_frontal.jpg,Male,76,Frontal,PA,,,,,,,1.0,-1.0,,,1.0,1.0,,
set/train/patient00010/study1/view1_frontal.jpg,Female,50,Frontal,PA,,0.0,0.0,,,0.0,0.0,0.0,0.0,0.0,0.0,,,
set/train/patient00011/study1/view1_frontal.jpg,Female,19,Frontal,AP,,,,,,,,,,,,,,1.0
set/train/patient00012/study1/view1_frontal.jpg,Female,22,Frontal,AP,,,,1.0,,1.0,1.0,1.0,1.0,1.0,1.0,,,
set/train/patient00012/study1/view2_lateral.jpg,Female,22,Lateral,,,,,1.0,,1.0,1.0,1.0,1.0,1.0,1.0,,,
set/train/patient00013/study1/view1_frontal.jpg,Male,90,Frontal,LL,,,,,,,,,1.0,,,,,
set/train/patient00014/study1/view1_frontal.jpg,Male,54,Frontal,AP,1.0,,,,,,,,,,,,,
set/train/patient00015/study1/view1_frontal.jpg,Male,54,Frontal,AP,,,,,,,,1,,,,,,
set/train/patient00016/study1/view1_frontal.jpg,Female,61,Frontal,PA,,,1,0,,,-1,,,,,,,
"""
# Patient and study to what it has, and what it does not say beyond what CheXpert never says.
CHEXPERT_EXPECTED = {
    "1/1": ("No Finding", ""),
    "2/1": ("", "Atelectasis Consolidation Edema Effusion Cardiomegaly"),
    "2/2": ("Pneumonia Cardiomegaly", ""),
    "3/1": ("Edema", ""),
    "4/1": ("", "Nodule Mass"),
    "5/1": ("No Finding", ""),
    "6/1": ("Atelectasis Effusion", "Nodule Mass"),
    "7/1": ("Pneumothorax", ""),
    "8/1": ("Cardiomegaly", "Edema Pneumothorax"),
    "9/1": ("Consolidation Effusion", "Pneumonia"),
    "10/1": ("", ""),
    "11/1": ("", ""),
    "12/1": ("Atelectasis Consolidation Edema Effusion Pneumonia Pneumothorax", ""),
    "13/1": ("Atelectasis", ""),
    "14/1": ("No Finding", ""),
    "15/1": ("Pneumonia", ""),
    "16/1": ("Cardiomegaly", "Consolidation"),
}
CHEXPERT_SILENT = "Infiltration Emphysema Fibrosis Pleural_Thickening Hernia Other"

VINBIGDATA = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a1,No finding,14,R1,,,,
a1,No finding,14,R2,,,,
a1,No finding,14,R3,,,,
b2,Cardiomegaly,3,R1,691,1375,1653,1831
b2,Aortic enlargement,0,R1,1264,743,1611,1019
b2,Cardiomegaly,3,R2,690,1370,1650,1830
b2,No finding,14,R3,,,,
c3,Nodule/Mass,8,R4,100,100,200,200
c3,Nodule/Mass,8,R4,300,300,400,400
c3,Nodule/Mass,8,R5,100,100,200,200
c3,Pleural thickening,11,R6,50,50,90,90
d4,Pleural effusion,10,R1,1,2,30,40
d4,Pulmonary fibrosis,13,R1,1,2,30,40
d4,Pulmonary fibrosis,13,R2,1,2,30,40
d4,Pleural effusion,10,R3,1,2,30,40
d4,Pleural effusion,10,R3,50,60,70,80
e5,Infiltration,6,R1,5,5,50,50
e5,Pneumothorax,12,R2,5,5,50,50
f6,Atelectasis,1,R1,5,5,50,50
f6,Consolidation,4,R1,7,7,50,50
"""
VINBIGDATA_EXPECTED = {
    "a1": ("No Finding", ""),
    "b2": ("Cardiomegaly", ""),
    "c3": ("", "Nodule Mass"),
    "d4": ("Effusion Fibrosis", ""),
    "e5": ("", "Infiltration Pneumothorax"),  # one of two readers each: neither for nor against
    "f6": ("Atelectasis Consolidation", ""),
}
VINBIGDATA_SILENT = "Edema Emphysema Pneumonia Hernia Other"

OWN_MAPPING = """
name = "our hospital"
title = "Our hospital, 2024"
labelled_by = "Two residents read the pictures."
image = "file"
patient = "case"
age = "years"
sex = "sex"
view = "view"
frontal = ["PA", "AP", "supine"]
positive = ["yes"]
negative = ["no"]
uncertain = ["maybe"]
blank = "unknown"

[labels]
"fluid" = "Effusion"
"big heart" = "Cardiomegaly"
"hernia" = "Hernia"
"healthy" = "No Finding"

[either]
"round shadow" = ["Nodule", "Mass"]

[unused]
"implant" = "no finding of ours"

[reasons]
"big heart" = "by eye, not measured"
"""
OWN = """file,case,years,sex,view,fluid,big heart,hernia,healthy,round shadow,implant
a/1.png,17,50Y,m,PA,yes,no,,no,no,yes
a/2.png,17,51,M,AP,no,yes,maybe,no,,
a/3.png,18,,f,supine,maybe,,,,yes,
b/1.png,19,200,F,PA,no,no,no,yes,no,
b/2.png,19,40,F,LAT,no,no,no,yes,no,
b/3.png,20,40,F,PA,,,,,,
b/4.png,21,40,F,PA,yes,yes,yes,no,maybe,
b/5.png,22,40,F,PA,yes,no,no,no,no,
b/6.png,23,40,F,PA,yes,no,no,no,no,
b/7.png,24,40,F,PA,no,no,no,no,no,
b/8.png,25,40,F,PA,no,yes,no,no,no,
b/9.png,26,40,F,LAT,no,yes,no,no,no,
c/1.png,27,40,F,PA,no,yes,no,no,no,
c/2.png,28,40,F,PA,no,no,no,yes,no,
c/3.png,29,40,F,PA,no,no,no,yes,no,
c/4.png,30,40,F,PA,no,no,no,yes,no,
c/5.png,31,40,F,PA,no,no,no,yes,no,
c/6.png,32,40,F,PA,no,no,no,yes,no,
c/7.png,33,40,F,PA,no,no,no,yes,no,
c/8.png,34,40,F,PA,maybe,maybe,maybe,maybe,maybe,
"""
OWN_EXPECTED = {
    "a/1.png": ("Effusion", "Hernia"),
    "a/2.png": ("Cardiomegaly", "Nodule Hernia Mass"),
    "a/3.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
    "b/1.png": ("No Finding", ""),
    "b/3.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
    "b/4.png": ("Effusion Cardiomegaly Hernia", "Nodule Mass"),
    "b/5.png": ("Effusion", ""),
    "b/6.png": ("Effusion", ""),
    "b/7.png": ("", ""),
    "b/8.png": ("Cardiomegaly", ""),
    "c/1.png": ("Cardiomegaly", ""),
    **{f"c/{number}.png": ("No Finding", "") for number in range(2, 8)},
    "c/8.png": ("", "Effusion Cardiomegaly Hernia Nodule Mass;No Finding"),
}
OWN_SILENT = (
    "Atelectasis Consolidation Infiltration Pneumothorax Edema Emphysema Fibrosis Pneumonia "
    "Pleural_Thickening Other"
)


def names(text: str) -> set[str]:
    """`A B;No Finding` or `No Finding` as labels."""
    found = set()
    for part in text.split(";"):
        found |= {part} if part == "No Finding" else set(part.split())
    return found
